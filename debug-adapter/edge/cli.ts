import { SUBJECTS } from '../explain';
import { messageOf, RequestError } from '../session/errors';
import { nodeEnvironment } from './environment';
import { explain, type ExplainOptions } from './explain';
import { exportOptions, exportTo } from './export';
import { info, infoOptions } from './info';
import { replay, replayOptions } from './replay';
import { run } from './run';
import { runOptions } from './run-options';
import { serve } from './serve';
import { listen } from './tcp';
import { UsageError, whole } from './usage';

const USAGE = `Usage: undervisor <command>

  run PROGRAM [OPTIONS]
      Runs without a debugger and prints VM exits, page decisions and serial output.
      PROGRAM: an image, an undervisor.json, or a folder that holds one. Options win over the description.
      --append TEXT          command line of the program
      --module FILE[=TEXT]   a module for it, with its command line; may be given several times
      --memory MIB           physical memory, 1 to 3072
      --processors N         1 to 8; default 1
      --quantum N            with several: instructions of a turn; another value gives another, repeatable, interleaving
      --disk FILE[,interface=ide|virtio][,write][,readonly]
                             a disk, IDE unless said otherwise; several times for several. What the program writes stays
                             in memory; with "write" it goes to FILE
      --iommu                a VT-d unit in front of all DMA and interrupt messages
      --isolation FILE       check isolation by this policy; a finding that stops ends the run with code 99
      --strict-translation   tell of every place that uses a stale translation: a forgotten INVLPG, INVVPID, INVEPT
      --tpm tis|crb          a TPM 2.0 with this interface
      --start-time TIME      what the real-time clock shows first; default 2026-01-01T00:00:00Z
      --random-seed N        where the generator behind RDRAND and RDSEED begins; default 0
      --boot KIND            auto (by the headers), pvh, multiboot, multiboot2, elf, raw
      --raw-address 0xADDR   where a raw image goes       --raw-entry 0xADDR   its first instruction
      --raw-bits 16|32       a raw image's mode
      --no-translator        leave everything to the interpreter
      --record FILE          writes the run down in FILE (.uvrec), as it goes: kill it, and all but the last second opens
      --json                 one object a line, for machines
      --serial               the bytes that the program sends to COM1, and nothing else
      --max-instructions N   ends after N instructions
      --exit-status          exit code as QEMU's with isa-debug-exit: value * 2 + 1 for a value written to port 0xf4;
                             4 when the machine ended in a way that has no QEMU status
      Exit code: 0 = the guest announced success (0 to port 0xf4), its value or 1 = anything else, 2 = wrong use or input

  replay FILE.uvrec [--verify] [--until MOMENT] [--json]
      Goes through a recorded run again and prints what happened, comparing it with what was recorded on the way.
      --verify               prints no rows, and compares the whole state wherever its hash was recorded
      --until MOMENT         ends there
      --json                 one object a line, for machines
      Exit code: 0 = as it was recorded, 1 = it diverged, 2 = wrong use, or a file that cannot be opened

  info FILE.uvrec [--json]
      Says what is in a recording: machine, layers, disks, how far it goes, how it ended, what is missing.
      Exit code: 0 = it opens, 2 = it does not

  export FILE.uvrec|PROGRAM [--format perfetto|jsonl] [--out FILE] [--from MOMENT] [--to MOMENT] [OPTIONS]
      Writes a run for other tools: perfetto (the default) for ui.perfetto.dev and chrome://tracing, with a track for each
      layer of each vCPU, VM exits as slices and virtual nanoseconds as time; jsonl with one object a line, the rows of
      run --json and more. To standard output unless --out names a file. PROGRAM and OPTIONS as of run.
      Exit code: 0 = written, 1 = the run is not the recorded one, 2 = wrong use or input

  explain KIND [NAME] [--json]
      Explains a row of the tables that the machine runs by, and where the manual has it; without NAME lists them.
      KIND: ${SUBJECTS.map(({ kind, title }) => `${kind} (${title})`).join(', ')}
      NAME: name, symbol or number; of vmentry an id, or a VMCS field for all checks that read it
      --json                 one object a line, for machines
      Exit code: 0 = explained, 2 = wrong use or unknown name

  dap [--port N]
      Debug adapter over standard input and output, or over TCP on 127.0.0.1 (0 = any free port; prints 127.0.0.1:PORT)
`;

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'help' || args.some((arg) => arg === '--help' || arg === '-h')) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command === 'run') return run(runOptions(rest));
  if (command === 'replay') return replay(replayOptions(rest));
  if (command === 'info') return info(infoOptions(rest));
  if (command === 'export') return exportTo(exportOptions(rest));
  if (command === 'explain') return explain(explainOptions(rest));
  if (command === 'dap') return dap(rest);
  throw new UsageError(command === undefined ? 'no command given' : `unknown command "${command}"`);
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
