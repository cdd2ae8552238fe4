import path from 'node:path';
import { buildProgram } from '../conformance/tools';

/** Where builds and case modules go */
export const OUT = path.resolve('.cache/vmx');

/** Builds programs/ to an ELF image that PVH and Multiboot2 loaders boot; returns its path. */
export const buildChecks = (): Promise<string> => buildProgram('test/vmx/programs', OUT, 'checks');
