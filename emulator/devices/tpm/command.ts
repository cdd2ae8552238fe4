import type { TpmReader, TpmWriter } from './buffer';
import type { HandleKind } from './handle-kinds';
import type { NvAccess, Role } from './entities';
import type { Session } from './sessions';
import type { TpmState } from './tpm-state';

/** Reads one parameter of a command. */
export type Unmarshal<T> = (from: TpmReader) => T;

type Values<P extends readonly Unmarshal<unknown>[]> = {
  [K in keyof P]: P[K] extends Unmarshal<infer T> ? T : never;
};

export interface HandleSpec {
  readonly kind: HandleKind;
  /** The entity must be authorized, in this role. */
  readonly role?: Role;
}

/** One command while it runs: its handles, and where its response goes. */
export interface Execution {
  readonly tpm: TpmState;
  readonly locality: number;
  readonly handles: readonly number[];
  readonly out: TpmWriter;
  /** The handle in the response */
  resultHandle: number;
  /** The session that authorized the first handle; undefined for a password */
  readonly session: Session | undefined;
}

/** A row of the command table: what Part 3 says above a command's detailed actions. */
export interface CommandRow {
  readonly code: number;
  readonly name: string;
  readonly handles: readonly HandleSpec[];
  readonly parameters: readonly Unmarshal<unknown>[];
  /** The first parameter, of the command or the response, is a TPM2B that a session may encrypt. */
  readonly decrypts: boolean;
  readonly encrypts: boolean;
  readonly resultHandle: boolean;
  /** No session may accompany it. */
  readonly noSessions: boolean;
  /** TPMA_CC: it may write NV memory, walk through many objects, flush a sequence it was given */
  readonly nv: boolean;
  readonly extensive: boolean;
  readonly flushed: boolean;
  /** How it uses an NV index that authorizes it */
  readonly nvAccess: NvAccess;
  readonly run: (x: Execution, parameters: readonly unknown[]) => void;
}

type Options<P extends readonly Unmarshal<unknown>[]> = Partial<
  Pick<CommandRow, 'handles' | 'encrypts' | 'resultHandle' | 'noSessions' | 'nv' | 'extensive' | 'flushed' | 'nvAccess'>
> & { readonly parameters?: P };

const sizedReaders = new WeakSet<Unmarshal<unknown>>();

/** Marks a reader as one of a TPM2B, so that a session may encrypt it when it comes first. */
export function sizedParameter<T>(read: Unmarshal<T>): Unmarshal<T> {
  sizedReaders.add(read);
  return read;
}

export function command<const P extends readonly Unmarshal<unknown>[] = readonly []>(
  code: number,
  name: string,
  options: Options<P>,
  run: (x: Execution, ...parameters: Values<P>) => void,
): CommandRow {
  const parameters = options.parameters ?? [];
  const [first] = parameters;
  return {
    code,
    name,
    handles: options.handles ?? [],
    parameters,
    decrypts: first !== undefined && sizedReaders.has(first),
    encrypts: options.encrypts ?? false,
    resultHandle: options.resultHandle ?? false,
    noSessions: options.noSessions ?? false,
    nv: options.nv ?? false,
    extensive: options.extensive ?? false,
    flushed: options.flushed ?? false,
    nvAccess: options.nvAccess,
    run: (x, values) => run(x, ...(values as Values<P>)),
  };
}
