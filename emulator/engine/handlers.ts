import type { MachineMemory } from '../memory/machine-memory';
import { hotVariants } from './hot';
import { generateHandler, generateInterpreter, type InterpreterExports, type InterpreterImports } from './interpreter';
import { Pseudo } from './record';
import type { Variant } from './variant';

const TABLE_STEP = 256;

/** Compiled code of the process, shared by all engines: the main module, and one module a handler. */
let mainModule: WebAssembly.Module | undefined;
const handlerModules = new Map<string, WebAssembly.Module>();

/** The interpreter's code in one machine, and the numbers of its handlers. */
export class Handlers {
  private readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_STEP });
  private readonly numbers = new Map<string, number>();
  private readonly inline: number;
  private readonly imports: WebAssembly.ModuleImports;
  readonly code: InterpreterExports;

  constructor(memory: MachineMemory, imports: InterpreterImports) {
    const hot = hotVariants();
    hot.forEach((variant, index) => this.numbers.set(variant.key, Pseudo.Count + index));
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
    return number;
  }
}
