import { conditionValue, FlagKind } from '../../isa/flag-arithmetic';
import type { Width } from '../../isa/context';
import { JUMP_CACHE, State } from '../../memory/layout';
import { i32, i64, type Value } from '../../wasm/expression';
import { FunctionBuilder } from '../../wasm/function-builder';
import { encodeModule, type FunctionDefinition } from '../../wasm/module';
import { I32, I64 } from '../../wasm/opcodes';
import { lazyKind, normalOf } from './lazy-flags';
import {
  FUNCTION_TYPES,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_SIZE,
  Leave,
  NORMALIZE,
  REASON,
  TypeIndex,
} from './linkage';

/** Exports of the dispatcher module. */
export interface Dispatcher {
  /** Runs regions from State.RIP until one leaves or none is known; returns what is left of the budget. */
  readonly run: (this: void, left: number) => number;
  readonly condition: (this: void, code: number, kind: number, a: bigint, b: bigint) => number;
  /** For the table: the host's refill as a WebAssembly function */
  refill: CallableFunction;
}

const RUN_TYPE = FUNCTION_TYPES.length;

/** The module beside the regions: jump-cache dispatch in WebAssembly, and flags whose producer is not known. */
export function generateDispatcher(): Uint8Array<ArrayBuffer> {
  return encodeModule({
    types: [...FUNCTION_TYPES, { parameters: [I32], results: [I32] }],
    imports: [{ name: 'refill', type: TypeIndex.Refill }],
    functions: [emitRun(), emitCondition(), emitRefill()],
    importTable: true,
  });
}

function emitRun(): FunctionDefinition {
  const f = new FunctionBuilder([I32]);
  const rip = f.newLocal(I64);
  const slot = f.newLocal(I32);
  const left = 0;
  const top = f.loop();
  f.set(rip, f.load64(i32(State.RIP)));
  const hash = f.and(f.wrap(f.xor(f.local(rip), f.shrU(f.local(rip), i64(12)))), i32(JUMP_CACHE_ENTRIES - 1));
  f.set(slot, f.shl(hash, i32(Math.log2(JUMP_CACHE_ENTRY_SIZE))));
  f.if(f.ne(f.load64(f.local(slot), JUMP_CACHE), f.local(rip)));
  f.store32(i32(REASON), i32(Leave.Miss));
  f.return(f.local(left));
  f.end();
  const element = f.load32(f.local(slot), JUMP_CACHE + 8);
  f.callIndirect(TypeIndex.Region, element, f.load32(f.local(slot), JUMP_CACHE + 12), f.local(left));
  f.set(left, f.pop(I32));
  f.branchIf(f.isZero(f.load32(i32(REASON))), top);
  f.end();
  f.emit(f.local(left));
  return { type: RUN_TYPE, locals: f.locals, body: f.code, export: 'run' };
}

function emitCondition(): FunctionDefinition {
  const f = new FunctionBuilder([I32, I32, I64, I64]);
  const [code, kind, a, b] = [0, 1, 2, 3].map((index) => f.local(index)) as [Value, Value, Value, Value];
  const result = f.newLocal(I64);
  const aux = f.newLocal(I32);
  const flags = { kind, a, b };
  const assign = (producerKind: FlagKind, width: Width): void => {
    const normal = normalOf(f, flags, { kind: producerKind, width });
    f.set(result, normal.result);
    f.set(aux, normal.aux);
  };
  assign(FlagKind.Normal, 64);
  const isLogic = f.eq(f.and(kind, i32(15)), i32(FlagKind.Logic));
  f.if(isLogic);
  assign(FlagKind.Logic, 64);
  f.end();
  for (const producerKind of [FlagKind.Add, FlagKind.Subtract]) {
    for (const width of [8, 16, 32, 64] as const) {
      f.if(f.eq(kind, i32(lazyKind(producerKind, width))));
      assign(producerKind, width);
      f.end();
      f.releaseTemporaries();
    }
  }
  f.if(f.eq(code, i32(NORMALIZE)));
  f.store64(i32(State.FLAGS_RESULT), f.local(result));
  f.return(f.local(aux));
  f.end();
  const normal = { result: f.local(result), aux: f.local(aux) };
  const labels = Array.from({ length: NORMALIZE }, () => f.block()).reverse();
  f.branchTable(code, labels, labels[0]!);
  for (let condition = 0; condition < NORMALIZE; condition++) {
    f.end();
    f.return(conditionValue(f, condition, normal));
  }
  f.unreachable();
  return { type: TypeIndex.Condition, locals: f.locals, body: f.code, export: 'condition' };
}

function emitRefill(): FunctionDefinition {
  const f = new FunctionBuilder([I64, I32, I32]);
  f.call(0, f.local(0), f.local(1), f.local(2));
  return { type: TypeIndex.Refill, locals: f.locals, body: f.code, export: 'refill' };
}
