import { SUBJECTS } from '../explain';
import { messageOf, RequestError } from '../session/errors';
import { nodeEnvironment } from './environment';
import { explain, type ExplainOptions } from './explain';
import { run, type RunOptions } from './run';
import { serve } from './serve';
import { listen } from './tcp';

const USAGE = `Usage: undervisor <command>

  run PROGRAM [--json] [--max-instructions N]
      Runs without a debugger and prints VM exits, page decisions and serial output.
      PROGRAM: an ELF image, an undervisor.json, or a folder that holds one.
      --json                 one object a line, for machines
      --max-instructions N   ends after N instructions
      Exit code: 0 = the guest announced success, 1 = anything else, 2 = wrong use or input

  explain KIND [NAME] [--json]
      Explains a row of the tables that the machine runs by, and where the manual has it; without NAME lists them.
      KIND: ${SUBJECTS.map(({ kind, title }) => `${kind} (${title})`).join(', ')}
      NAME: name, symbol or number; of vmentry an id, or a VMCS field for all checks that read it
      --json                 one object a line, for machines
      Exit code: 0 = explained, 2 = wrong use or unknown name

  dap [--port N]
      Debug adapter over standard input and output, or over TCP on 127.0.0.1 (0 = any free port; prints 127.0.0.1:PORT)
`;

/** Wrong use of the command line; the message says what is wrong. */
class UsageError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'help' || args.some((arg) => arg === '--help' || arg === '-h')) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command === 'run') return run(runOptions(rest));
  if (command === 'explain') return explain(explainOptions(rest));
  if (command === 'dap') return dap(rest);
  throw new UsageError(command === undefined ? 'no command given' : `unknown command "${command}"`);
}

function runOptions(args: readonly string[]): RunOptions {
  let program: string | undefined;
  let json = false;
  let maxInstructions = Infinity;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--json') json = true;
    else if (arg === '--max-instructions') maxInstructions = whole(args[++at], arg, Number.MAX_SAFE_INTEGER);
    else if (arg.startsWith('-')) throw new UsageError(`unknown option "${arg}"`);
    else if (program === undefined) program = arg;
    else throw new UsageError(`one program only, but "${arg}" was given beside "${program}"`);
  }
  if (program === undefined) throw new UsageError('run: no program given');
  return { program, json, maxInstructions };
}

function explainOptions(args: readonly string[]): ExplainOptions {
  const unknown = args.find((arg) => arg.startsWith('-') && arg !== '--json');
  if (unknown !== undefined) throw new UsageError(`unknown option "${unknown}"`);
  const [kind, ...words] = args.filter((arg) => arg !== '--json');
  const kinds = SUBJECTS.map((subject) => subject.kind).join(', ');
  if (kind === undefined) throw new UsageError(`explain: no kind given: ${kinds}`);
  const subject = SUBJECTS.find((one) => one.kind === kind);
  if (!subject) throw new UsageError(`explain: unknown kind "${kind}": ${kinds}`);
  return { subject, name: words.length === 0 ? undefined : words.join(' '), json: args.includes('--json') };
}

async function dap(args: readonly string[]): Promise<number> {
  const [option, value, ...more] = args;
  if (option === undefined) {
    await serve(process.stdin, process.stdout, nodeEnvironment);
    return 0;
  }
  if (option !== '--port' || more.length > 0) throw new UsageError(`dap: unknown option "${more[0] ?? option}"`);
  const server = await listen(whole(value, option, 65535), nodeEnvironment);
  process.stdout.write(`127.0.0.1:${server.port}\n`);
  return new Promise<number>(() => undefined);
}

function whole(text: string | undefined, option: string, most: number): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number(text) : NaN;
  if (!(value <= most)) throw new UsageError(`${option} needs a whole number up to ${most}, not "${text ?? ''}"`);
  return value;
}

function report(error: unknown): number {
  if (error instanceof UsageError) process.stderr.write(`undervisor: ${error.message}\n\n${USAGE}`);
  else if (error instanceof RequestError) process.stderr.write(`undervisor: ${error.message}\n`);
  // A fault of ours: the stack helps whoever reports it.
  else
    process.stderr.write(`undervisor: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
  return 2;
}

// A reader that closes the pipe early (head) ends the run quietly.
process.stdout.on('error', () => process.exit(0));
main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => process.exit(report(error)),
);
