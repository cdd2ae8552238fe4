import { nodeEnvironment } from './environment';
import { serve } from './serve';

// The debug adapter as VS Code starts it: one session over standard input and output.
void serve(process.stdin, process.stdout, nodeEnvironment).then(() => process.exit(0));
