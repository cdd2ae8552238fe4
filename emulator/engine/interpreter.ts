import { State, TLB_CODE, TLB_EXECUTE } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import { FunctionBuilder } from '../wasm/function-builder';
import { encodeModule, type FunctionType } from '../wasm/module';
import { I32, I64, Op } from '../wasm/opcodes';
import { InterpreterContext } from './interpreter-context';
import { Field, Pseudo, RECORD_SIZE } from './record';
import type { HandlerFrame } from './record-context';
import { Scratch, Stop } from './scratch';
import { ShadowBuilder } from './secrecy/shadow-builder';
import { ShadowContext } from './secrecy/shadow-context';
import type { Variant } from './variant';

/**
 * The interpreter, generated: one function that dispatches by `br_table` over pseudo handlers and hot instructions, and
 * a table of functions for all others, each compiled when an instruction first needs it.
 */

const enum Type {
  SlowLoad,
  SlowStore,
  Miss,
  /** (record) -> record: handlers, link, resolve */
  Record,
  /** (rip) -> record */
  Find,
  /** (record, budget) -> budget left */
  Run,
  /** (budget, skip, pass) -> budget left */
  Enter,
}

const TYPES: readonly FunctionType[] = [
  { parameters: [I64, I32, I32], results: [I64] },
  { parameters: [I64, I32, I64], results: [] },
  { parameters: [], results: [I32] },
  { parameters: [I32], results: [I32] },
  { parameters: [I64], results: [I32] },
  { parameters: [I32, I32], results: [I32] },
  { parameters: [I32, I32, I32], results: [I32] },
];

/** Functions that the main module imports. */
export interface InterpreterImports {
  readonly slowLoad: (linear: bigint, size: number, forWrite: number) => bigint;
  readonly slowStore: (linear: bigint, size: number, value: bigint) => void;
  /** No record is known at State.RIP: decodes; 0 after Scratch.STOP was set. */
  readonly miss: () => number;
  /** The record of a near transfer's target; 0 after State.RIP and Scratch.STOP were set. */
  readonly link: (record: number) => number;
  /** Where to go on from a Resolve record; 0 likewise. */
  readonly resolve: (record: number) => number;
}

export interface InterpreterExports {
  /**
   * Executes at most `budget` instructions from State.RIP; returns the budget left. `skip`: a Stop that is passed by when the first
   * record has it, or NO_SKIP. `pass`: Scratch.PASS_REGIONS.
   */
  readonly enter: (budget: number, skip: number, pass: number) => number;
  /** The record at an instruction pointer, for the modules of other handlers. */
  readonly find: (rip: bigint) => number;
}

const MAIN_IMPORTS = [
  { name: 'slowLoad', type: Type.SlowLoad },
  { name: 'slowStore', type: Type.SlowStore },
  { name: 'miss', type: Type.Miss },
  { name: 'link', type: Type.Record },
  { name: 'resolve', type: Type.Record },
];
const SLOW_LOAD = 0;
const SLOW_STORE = 1;
const MISS = 2;
const LINK = 3;
const RESOLVE = 4;
const FIND = MAIN_IMPORTS.length;
const RUN = FIND + 1;
/** No Stop has this number. */
export const NO_SKIP = -1;

/**
 * The main module with `hot` handlers inline: handler numbers are Pseudo, then `hot` in order, then elements of the
 * imported table.
 */
export function generateInterpreter(hot: readonly Variant[]): Uint8Array<ArrayBuffer> {
  const find = generateFind();
  const run = generateRun(hot);
  const enter = generateEnter();
  return encodeModule({
    types: TYPES,
    imports: MAIN_IMPORTS,
    importTable: true,
    functions: [
      { type: Type.Find, locals: find.locals, body: find.code, export: 'find' },
      { type: Type.Run, locals: run.locals, body: run.code },
      { type: Type.Enter, locals: enter.locals, body: enter.code, export: 'enter' },
    ],
  });
}

/**
 * Looks up the record of an instruction pointer: the TLB's execute tag and code page, the page's mode, its map of
 * offsets. On any miss the run loop decodes.
 */
function generateFind(): FunctionBuilder {
  const f = new FunctionBuilder([I64]);
  const rip = f.local(0);
  const base = f.load64(i32(Scratch.LINEAR_BASE));
  const linear = f.let(f.and(f.add(rip, base), f.load64(i32(Scratch.LINEAR_MASK))));
  const bank = f.load32(i32(State.TLB_BANK));
  const entry = f.let(f.add(bank, f.and(f.shrU(f.wrap(linear), i32(7)), i32(0x7fe0))));
  f.if(f.eq(f.load64(entry, TLB_EXECUTE), f.and(linear, i64(-4096))));
  const code = f.let(f.load32(entry, TLB_CODE));
  f.if(code);
  f.if(f.eq(f.load32(f.sub(code, i32(CODE_PAGE_HEADER))), f.load32(i32(Scratch.MODE))));
  const record = f.let(f.load32(f.add(code, f.shl(f.and(f.wrap(linear), i32(0xfff)), i32(2)))));
  f.if(record);
  f.return(record);
  f.end();
  f.end();
  f.end();
  f.end();
  f.store64(i32(State.RIP), rip);
  f.call(MISS);
  return f;
}

/** Begins a stretch: one call from the run loop finds the record, passes what is to be skipped, and executes. */
function generateEnter(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32]);
  const [left, skip, pass] = [0, 1, 2].map((index) => f.local(index)) as [Value, Value, Value];
  f.store32(i32(Scratch.PASS_REGIONS), pass);
  f.store32(i32(State.FAULT), i32(0));
  f.store32(i32(Scratch.STOP), i32(Stop.Budget));
  f.store32(i32(Scratch.RECORD), i32(0));
  f.call(FIND, f.load64(i32(State.RIP)));
  const record = f.temporary(I32);
  f.setFromStack(record);
  f.if(f.isZero(f.local(record)));
  f.return(left);
  f.end();
  f.if(f.ne(skip, i32(NO_SKIP)));
  const handler = f.let(f.load32(f.local(record), Field.HANDLER));
  const stops = f.or(f.eq(handler, i32(Pseudo.Exit)), f.eq(handler, i32(Pseudo.RegionEntry)));
  f.if(f.and(stops, f.eq(f.load32(f.local(record), Field.IMMEDIATE), skip)));
  f.set(record, f.add(f.local(record), i32(RECORD_SIZE)));
  f.end();
  f.end();
  f.call(RUN, f.local(record), left);
  return f;
}

/** Bytes before a code page's map; the first word is the mode it was decoded in. */
export const CODE_PAGE_HEADER = 16;

const RECORD = 0;
const LEFT = 1;

function generateRun(hot: readonly Variant[]): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32]);
  const record = f.local(RECORD);
  const left = f.local(LEFT);
  const top = f.loop();
  f.if(f.isZero(left));
  f.store32(i32(Scratch.RECORD), record);
  f.return(i32(0));
  f.end();
  f.set(LEFT, f.sub(left, i32(1)));

  const goTo = (next: Value): void => {
    f.set(RECORD, next);
    f.branch(top);
  };
  const uncounted = (): void => f.set(LEFT, f.add(left, i32(1)));
  const leaveBefore = (): void => {
    f.store32(i32(Scratch.RECORD), record);
    f.return(f.add(left, i32(1)));
  };
  const leaveAfter = (): void => f.return(left);
  const frame: HandlerFrame = {
    f,
    record: RECORD,
    slowLoad: SLOW_LOAD,
    slowStore: SLOW_STORE,
    find: FIND,
    link: LINK,
    spent: () => f.isZero(left),
    goTo,
    leaveBefore,
    leaveAfter,
  };
  /** Goes on at the record on the stack; zero: State.RIP says where generated code ended. */
  const goToFound = (): void => {
    const found = f.pop(I32);
    f.if(f.isZero(found));
    f.return(left);
    f.end();
    goTo(found);
  };
  const pseudo: Record<Exclude<Pseudo, Pseudo.Count>, () => void> = {
    [Pseudo.Exit]: () => {
      f.store32(i32(Scratch.STOP), f.load32(record, Field.IMMEDIATE));
      leaveBefore();
    },
    [Pseudo.RegionEntry]: () => {
      f.if(f.load32(i32(Scratch.PASS_REGIONS)));
      uncounted();
      goTo(f.add(record, i32(RECORD_SIZE)));
      f.end();
      f.store32(i32(Scratch.STOP), i32(Stop.Region));
      leaveBefore();
    },
    [Pseudo.NextPage]: () => {
      uncounted();
      f.call(FIND, f.load64(record, Field.IMMEDIATE));
      goToFound();
    },
    [Pseudo.GoTo]: () => {
      uncounted();
      goTo(f.load32(record, Field.LINK));
    },
    [Pseudo.Resolve]: () => {
      uncounted();
      f.call(RESOLVE, record);
      goToFound();
    },
  };

  const inline = Pseudo.Count + hot.length;
  const cold = f.block();
  const labels = Array.from({ length: inline }, () => f.block()).reverse();
  f.branchTable(f.load32(record, Field.HANDLER), labels, cold);
  for (let handler = 0; handler < inline; handler++) {
    f.end();
    const variant = hot[handler - Pseudo.Count];
    if (variant) new InterpreterContext(frame, variant).emit();
    else {
      pseudo[handler as Exclude<Pseudo, Pseudo.Count>]();
      f.releaseTemporaries();
    }
  }
  f.end();
  f.store32(i32(Scratch.LEFT), left);
  f.callIndirect(Type.Record, f.sub(f.load32(record, Field.HANDLER), i32(inline)), record);
  const next = f.pop(I32);
  f.if(f.isZero(next));
  // The handler stored its record when the instruction was not executed.
  f.return(f.add(left, f.ne(f.load32(i32(Scratch.RECORD)), i32(0))));
  f.end();
  goTo(next);
  f.end();
  f.unreachable();
  return f;
}

const HANDLER_IMPORTS = [
  { name: 'slowLoad', type: Type.SlowLoad },
  { name: 'slowStore', type: Type.SlowStore },
  { name: 'find', type: Type.Find },
  { name: 'link', type: Type.Record },
];

/** A module with one handler, exported as `handler`: takes its record, returns the next or 0. */
export function generateHandler(variant: Variant): Uint8Array<ArrayBuffer> {
  const f = new FunctionBuilder([I32]);
  new InterpreterContext(handlerFrame(f), variant).emit();
  return encodeHandler(f);
}

/** The same that moves secrecy along; `addresses`: what is loaded from an address that depends on a secret is secret. */
export function generateTrackedHandler(variant: Variant, addresses: boolean): Uint8Array<ArrayBuffer> {
  const f = new ShadowBuilder([I32]);
  new ShadowContext(handlerFrame(f), variant, addresses).emit();
  return encodeHandler(f);
}

function handlerFrame<Builder extends FunctionBuilder>(f: Builder): HandlerFrame & { readonly f: Builder } {
  return {
    f,
    record: RECORD,
    slowLoad: 0,
    slowStore: 1,
    find: 2,
    link: 3,
    spent: () => f.isZero(f.load32(i32(Scratch.LEFT))),
    goTo: (next) => f.return(next),
    leaveBefore: () => {
      f.store32(i32(Scratch.RECORD), f.local(RECORD));
      f.return(i32(0));
    },
    leaveAfter: () => f.return(i32(0)),
  };
}

function encodeHandler(f: FunctionBuilder): Uint8Array<ArrayBuffer> {
  f.code.byte(Op.unreachable);
  return encodeModule({
    types: TYPES,
    imports: HANDLER_IMPORTS,
    functions: [{ type: Type.Record, locals: f.locals, body: f.code, export: 'handler' }],
  });
}
