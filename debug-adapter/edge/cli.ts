import { nodeEnvironment } from './environment';
import { serve } from './serve';
import { listen } from './tcp';

const USAGE = `Usage: undervisor <command>

  dap                     debug adapter over standard input and output
  dap --port N            debug adapter over TCP on 127.0.0.1; 0 = any free port
`;

async function main(args: string[]): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case 'dap': {
      if (rest.length === 0) {
        await serve(process.stdin, process.stdout, nodeEnvironment);
        return 0;
      }
      const port = rest[0] === '--port' && /^\d{1,5}$/.test(rest[1] ?? '') ? Number(rest[1]) : NaN;
      if (!(port <= 65535)) break;
      const server = await listen(port, nodeEnvironment);
      process.stdout.write(`127.0.0.1:${server.port}\n`);
      return new Promise<number>(() => undefined);
    }
    case '--help':
    case 'help':
      process.stdout.write(USAGE);
      return 0;
  }
  process.stderr.write(USAGE);
  return 2;
}

void main(process.argv.slice(2)).then((code) => process.exit(code));
