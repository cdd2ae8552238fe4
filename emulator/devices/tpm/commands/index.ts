import type { CommandRow } from '../command';
import { capabilityCommand } from './capability';
import { clockCommands } from './clock';
import { eccCommands } from './ecc';
import { hashingCommands } from './hashing';
import { hierarchyCommands } from './hierarchy';
import { nvCommands } from './nv';
import { objectCommands } from './objects';
import { pcrCommands } from './pcr';
import { policyCommands } from './policy';
import { randomCommands } from './random';
import { sessionCommands } from './sessions';
import { signingCommands } from './signing';
import { startupCommands } from './startup';

const rows: readonly CommandRow[] = [
  ...startupCommands,
  ...sessionCommands,
  ...objectCommands,
  ...eccCommands,
  ...randomCommands,
  ...hashingCommands,
  ...signingCommands,
  ...pcrCommands,
  ...policyCommands((code) => COMMANDS.has(code)),
  ...hierarchyCommands,
  ...nvCommands,
  ...clockCommands,
  capabilityCommand(() => rows),
];

/** Every command of this TPM, by TPM_CC */
export const COMMANDS: ReadonlyMap<number, CommandRow> = new Map(rows.map((row) => [row.code, row]));
