import { controls } from './control';
import { exits } from './exit';
import { fields } from './field';
import { msrs } from './msr';
import type { Subject } from './row';
import { entryChecks } from './vmentry';

export { find, namesOf, nearest } from './find';
export type { Explained, Subject } from './row';

/** Every kind of thing that can be explained. */
export const SUBJECTS: readonly Subject[] = [entryChecks, exits, fields, msrs, controls];
