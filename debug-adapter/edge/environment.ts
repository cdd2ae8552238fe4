import { createMachine } from '../../emulator/machine/machine';
import type { Environment } from '../session/environment';
import { nodeFiles } from './node-files';

/** A session in Node: files of this machine, the emulator in this process. */
export const nodeEnvironment: Environment = {
  files: nodeFiles,
  createMachine,
};
