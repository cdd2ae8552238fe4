import type { MemoryReader } from '../symbols/api';
import { BuiltinTypes } from '../symbols/builtin-types';
import type { LoadedProgram, ProgramSet } from '../symbols/program-set';
import { registerNumbers } from '../symbols/register-numbers';
import type { EvaluationPlace } from './api';

/** What all parts of the evaluator share: the images, the place, C's own types. */
export class Context {
  readonly addressSize: 4 | 8;
  readonly builtin: BuiltinTypes;
  readonly memory: MemoryReader;
  /** The image of the frame, whose names come first */
  readonly image: LoadedProgram | undefined;

  constructor(
    readonly set: ProgramSet,
    readonly place: EvaluationPlace,
  ) {
    this.memory = place.memory;
    this.image = place.frame?.image;
    this.addressSize = place.addressSize ?? (this.image ?? set.images[0])?.program.addressSize ?? 8;
    this.builtin = new BuiltinTypes(this.addressSize);
  }

  /** A whole register as the frame has it; what frames do not restore comes from the machine. */
  register(name: string): bigint | undefined {
    const { frame, registers } = this.place;
    const number = registerNumbers(this.addressSize).names.indexOf(name);
    if (frame && number >= 0 && (frame.depth > 0 || frame.registers.has(number))) return frame.registers.get(number);
    return registers(name);
  }

  /** A register by DWARF number in the frame's image */
  registerByNumber(number: number): { name: string; value: bigint } | undefined {
    const name = registerNumbers(this.image?.program.addressSize ?? this.addressSize).names[number];
    // Frames number registers by the mode that the code runs in, which may differ from the image's.
    const own = name === undefined ? -1 : registerNumbers(this.addressSize).names.indexOf(name);
    const value = this.place.frame?.registers.get(own);
    return name === undefined || value === undefined ? undefined : { name, value };
  }
}
