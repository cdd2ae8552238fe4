import type { Machine, MachineConfiguration } from '../../emulator/machine/api';
import type { FileSource } from './file-source';

/** What a session needs from the place it runs in; given by edge/ in Node, by a worker in a browser. */
export interface Environment {
  readonly files: FileSource;
  /** Throws MachineError or ElfError with a message for the user. */
  readonly createMachine: (configuration: MachineConfiguration) => Machine | Promise<Machine>;
}
