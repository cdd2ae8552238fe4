import type { MachineMemory } from '../memory/machine-memory';
import { hotVariants } from './hot';
import {
  generateHandler,
  generateInterpreter,
  generateTrackedHandler,
  type InterpreterExports,
  type InterpreterImports,
} from './interpreter';
import { Pseudo } from './record';
import type { Variant } from './variant';

const TABLE_STEP = 256;

/** Compiled code of the process, shared by all engines: the main module, and one module a handler. */
let mainModule: WebAssembly.Module | undefined;
const handlerModules = new Map<string, WebAssembly.Module>();
const trackedModules = new Map<string, WebAssembly.Module>();

/** Takes its record; returns the next, or 0 */
type Handler = (record: number) => number;

/** The interpreter's code in one machine, and the numbers of its handlers. */
export class Handlers {
  private readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_STEP });
  private readonly numbers = new Map<string, number>();
  private readonly inline: number;
  private readonly imports: WebAssembly.ModuleImports;
  /** By number, and by number those that track secrecy: made when they are first needed */
  private readonly variants: Variant[] = [];
  private readonly tracked: Handler[] = [];
  /** Secrecy tracking: what is loaded from an address that depends on a secret is secret. */
  tracksAddresses = false;
  readonly code: InterpreterExports;

  constructor(memory: MachineMemory, imports: InterpreterImports) {
    const hot = hotVariants();
    hot.forEach((variant, index) => {
      this.numbers.set(variant.key, Pseudo.Count + index);
      this.variants[Pseudo.Count + index] = variant;
    });
    this.inline = Pseudo.Count + hot.length;
    mainModule ??= new WebAssembly.Module(generateInterpreter(hot));
    const environment = { memory: memory.wasm, table: this.table, ...imports };
    this.code = new WebAssembly.Instance(mainModule, { env: environment }).exports as unknown as InterpreterExports;
    const { slowLoad, slowStore, link } = imports;
    this.imports = { memory: memory.wasm, slowLoad, slowStore, link, find: this.code.find };
  }

  /** The number of a variant's handler; compiles it when it is new. */
  numberOf(variant: Variant): number {
    const known = this.numbers.get(variant.key);
    if (known !== undefined) return known;
    let module = handlerModules.get(variant.key);
    if (!module) {
      module = new WebAssembly.Module(generateHandler(variant));
      handlerModules.set(variant.key, module);
    }
    const number = this.numbers.size + Pseudo.Count;
    const element = number - this.inline;
    if (element >= this.table.length) this.table.grow(TABLE_STEP);
    const instance = new WebAssembly.Instance(module, { env: this.imports });
    this.table.set(element, instance.exports['handler']);
    this.numbers.set(variant.key, number);
    this.variants[number] = variant;
    return number;
  }

  /** The handler with this number that moves secrecy along. */
  trackedHandler(number: number): Handler {
    return this.tracked[number] ?? (this.tracked[number] = this.makeTracked(number));
  }

  private makeTracked(number: number): Handler {
    const variant = this.variants[number];
    if (!variant) throw new Error(`there is no handler ${number}`);
    const key = `${variant.key}${this.tracksAddresses ? '.addresses' : ''}`;
    let module = trackedModules.get(key);
    if (!module) {
      module = new WebAssembly.Module(generateTrackedHandler(variant, this.tracksAddresses));
      trackedModules.set(key, module);
    }
    return new WebAssembly.Instance(module, { env: this.imports }).exports['handler'] as unknown as Handler;
  }
}
