import { ByteBuffer } from './byte-buffer';
import { Op, type ValueType } from './opcodes';

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionDefinition {
  /** Index into ModuleDefinition.types */
  readonly type: number;
  readonly locals: readonly ValueType[];
  readonly body: ByteBuffer;
  readonly export?: string;
}

/**
 * A module that imports its memory (`env.memory`), perhaps its table (`env.table`) and functions (`env.<name>`).
 * Function indices: imported functions first, then `functions` in order.
 */
export interface ModuleDefinition {
  readonly types: readonly FunctionType[];
  readonly imports?: readonly { readonly name: string; readonly type: number }[];
  readonly functions: readonly FunctionDefinition[];
  readonly importTable?: boolean;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const enum SectionId {
  Type = 1,
  Import = 2,
  Function = 3,
  Export = 7,
  Code = 10,
}
const FUNCTION_TYPE = 0x60;
const FUNCTION_REFERENCE = 0x70;
const KIND_FUNCTION = 0;
const KIND_TABLE = 1;
const KIND_MEMORY = 2;
const MODULE_NAME = 'env';

function section(out: ByteBuffer, id: SectionId, write: (body: ByteBuffer) => void): void {
  const body = new ByteBuffer(1024);
  write(body);
  out.byte(id);
  out.unsigned(body.length);
  out.append(body);
}

function writeLocals(out: ByteBuffer, locals: readonly ValueType[]): void {
  const groups: { count: number; type: ValueType }[] = [];
  for (const type of locals) {
    const last = groups.at(-1);
    if (last?.type === type) last.count++;
    else groups.push({ count: 1, type });
  }
  out.unsigned(groups.length);
  for (const { count, type } of groups) {
    out.unsigned(count);
    out.byte(type);
  }
}

/** Encodes the binary format (WebAssembly core specification, 5.5). */
export function encodeModule(module: ModuleDefinition): Uint8Array<ArrayBuffer> {
  const out = new ByteBuffer(4096);
  for (const byte of MAGIC) out.byte(byte);
  const imports = module.imports ?? [];

  section(out, SectionId.Type, (body) => {
    body.unsigned(module.types.length);
    for (const { parameters, results } of module.types) {
      body.byte(FUNCTION_TYPE);
      body.unsigned(parameters.length);
      for (const type of parameters) body.byte(type);
      body.unsigned(results.length);
      for (const type of results) body.byte(type);
    }
  });
  section(out, SectionId.Import, (body) => {
    body.unsigned(imports.length + 1 + (module.importTable ? 1 : 0));
    for (const { name, type } of imports) {
      body.name(MODULE_NAME);
      body.name(name);
      body.byte(KIND_FUNCTION);
      body.unsigned(type);
    }
    body.name(MODULE_NAME);
    body.name('memory');
    body.byte(KIND_MEMORY);
    body.byte(0);
    body.unsigned(1);
    if (module.importTable) {
      body.name(MODULE_NAME);
      body.name('table');
      body.byte(KIND_TABLE);
      body.byte(FUNCTION_REFERENCE);
      body.byte(0);
      body.unsigned(0);
    }
  });
  section(out, SectionId.Function, (body) => {
    body.unsigned(module.functions.length);
    for (const { type } of module.functions) body.unsigned(type);
  });
  section(out, SectionId.Export, (body) => {
    const exported = module.functions.flatMap((f, i) => (f.export === undefined ? [] : [[f.export, i] as const]));
    body.unsigned(exported.length);
    for (const [name, index] of exported) {
      body.name(name);
      body.byte(KIND_FUNCTION);
      body.unsigned(index + imports.length);
    }
  });
  section(out, SectionId.Code, (body) => {
    body.unsigned(module.functions.length);
    for (const definition of module.functions) {
      const locals = new ByteBuffer(32);
      writeLocals(locals, definition.locals);
      body.unsigned(locals.length + definition.body.length + 1);
      body.append(locals);
      body.append(definition.body);
      body.byte(Op.end);
    }
  });
  return out.toBytes();
}
