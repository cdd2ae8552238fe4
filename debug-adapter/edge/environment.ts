import type { Environment } from '../session/environment';
import { userError } from '../session/errors';
import { nodeFiles } from './node-files';

/** A session in Node: files of this machine, the emulator in this process. */
export const nodeEnvironment: Environment = {
  files: nodeFiles,
  createMachine: () => {
    throw userError('the machine is not linked in yet');
  },
};
