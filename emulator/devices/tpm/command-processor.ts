import { Authorization } from './authorization';
import { TpmReader, TpmWriter } from './buffer';
import type { CommandRow, Execution } from './command';
import { COMMANDS } from './commands';
import { Cc, Rc, St } from './constants';
import { loadStatus } from './entities';
import { fail, numbered, ofHandle, ofParameter, TpmError } from './error';
import { HANDLE_KINDS } from './handle-kinds';
import type { TpmState } from './tpm-state';

/** The largest command and response (TPM_PT_MAX_COMMAND_SIZE) */
export const BUFFER_SIZE = 4096;
const HEADER = 10;
/** The smallest TPMS_AUTH_COMMAND: handle, empty nonce, attributes, empty HMAC */
const SMALLEST_AUTHORIZATION = 9;

/** One command to one response: the order of Part 3, clause 5. Whatever the bytes are, there is a response. */
export function executeCommand(tpm: TpmState, command: Uint8Array, locality: number): Uint8Array {
  try {
    return run(tpm, new TpmReader(command), locality);
  } catch (error) {
    if (error instanceof TpmError) return errorResponse(error.code);
    // A contradiction inside: a TPM enters failure mode then (Part 1, clause 12.4).
    tpm.failed = true;
    tpm.failureCause = error;
    return errorResponse(Rc.FAILURE);
  }
}

export function errorResponse(code: number): Uint8Array {
  const tag = code === Rc.BAD_TAG ? St.RSP_COMMAND : St.NO_SESSIONS;
  return new TpmWriter().u16(tag).u32(HEADER).u32(code).finish();
}

function run(tpm: TpmState, from: TpmReader, locality: number): Uint8Array {
  const { row, hasSessions } = readHeader(tpm, from);
  const handles = readHandles(tpm, row, from);
  const authorization = new Authorization(tpm, row, handles, locality);
  if (hasSessions) {
    if (row.noSessions) fail(Rc.AUTH_CONTEXT);
    const size = from.u32();
    if (size < SMALLEST_AUTHORIZATION || size > from.left) fail(Rc.SIZE);
    authorization.parse(new TpmReader(from.fixed(size)));
  } else authorization.requireNone();
  const sent = from.rest();
  authorization.check(sent);
  const parameters = readParameters(row, new TpmReader(authorization.decrypt(sent)));

  const out = new TpmWriter();
  const x: Execution = { tpm, locality, handles, out, resultHandle: 0, session: authorization.first };
  row.run(x, parameters);

  const body = new TpmWriter();
  if (row.resultHandle) body.u32(x.resultHandle);
  if (hasSessions) {
    const response = authorization.respond(out.finish());
    body.u32(response.parameters.length).raw(response.parameters).raw(response.area);
  } else body.raw(out.finish());
  const tag = hasSessions ? St.SESSIONS : St.NO_SESSIONS;
  return new TpmWriter()
    .u16(tag)
    .u32(HEADER + body.size)
    .u32(Rc.SUCCESS)
    .raw(body.finish())
    .finish();
}

function readHeader(tpm: TpmState, from: TpmReader): { row: CommandRow; hasSessions: boolean } {
  const tag = from.u16();
  if (tag !== St.SESSIONS && tag !== St.NO_SESSIONS) fail(Rc.BAD_TAG);
  const size = from.u32();
  if (size !== from.bytes.length) fail(Rc.COMMAND_SIZE);
  const code = from.u32();
  const row = COMMANDS.get(code) ?? fail(Rc.COMMAND_CODE);
  if (tpm.failed && code !== Cc.GetTestResult && code !== Cc.GetCapability) fail(Rc.FAILURE);
  if (!tpm.started && code !== Cc.Startup) fail(Rc.INITIALIZE);
  if (tpm.started && code === Cc.Startup) fail(Rc.INITIALIZE);
  return { row, hasSessions: tag === St.SESSIONS };
}

function readHandles(tpm: TpmState, row: CommandRow, from: TpmReader): number[] {
  const numberOf = (i: number) => (code: number) => ofHandle(code, i + 1);
  const handles = row.handles.map(({ kind }, i) =>
    numbered(numberOf(i), () => {
      const handle = from.u32();
      return HANDLE_KINDS[kind](handle) ? handle : fail(Rc.VALUE);
    }),
  );
  handles.forEach((handle, i) => {
    const status = loadStatus(tpm, handle, i);
    if (status) fail(numberOf(i)(status));
  });
  return handles;
}

function readParameters(row: CommandRow, from: TpmReader): unknown[] {
  const values = row.parameters.map((read, i) =>
    numbered(
      (code) => ofParameter(code, i + 1),
      () => read(from),
    ),
  );
  if (from.left > 0) fail(Rc.SIZE);
  return values;
}
