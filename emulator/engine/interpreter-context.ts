import { i32, i64, type Value } from '../wasm/expression';
import { Segment, State } from '../memory/layout';
import { I32, I64, Op } from '../wasm/opcodes';
import { MemoryContext } from './memory-context';
import { Field, RECORD_SIZE } from './record';

const GENERAL_PROTECTION = 13;

/** Emits one handler of the interpreter; adds how an instruction ends to what it does to registers and memory. */
export class InterpreterContext extends MemoryContext {
  private targetChecked = false;
  private ended = false;

  /** Emits the whole handler. */
  emit(): void {
    const { meaning } = this.row;
    if (!meaning) throw new Error(`${this.row.mnemonic} ${this.row.notation} has no meaning to interpret`);
    meaning(this);
    if (!this.ended) this.goToNext();
    this.f.releaseTemporaries();
  }

  // Ends

  private goTo(record: Value): void {
    this.commit();
    this.ended = true;
    this.frame.goTo(record);
  }

  private goToNext(): void {
    this.goTo(this.f.add(this.record, i32(RECORD_SIZE)));
  }

  /** Goes on at an instruction pointer (i64): the record there, or out of generated code. */
  private goToRip(rip: Value): void {
    const { f } = this;
    const target = f.let(rip);
    this.commit();
    // What nobody executes now is not fetched: a fetch sets accessed flags and fills the TLB.
    f.if(this.frame.spent());
    f.store64(i32(State.RIP), target);
    this.frame.leaveAfter();
    f.end();
    f.call(this.frame.find, target);
    const found = f.pop(I32);
    f.if(f.isZero(found));
    this.frame.leaveAfter();
    f.end();
    this.goTo(found);
  }

  nextRip(): Value {
    return this.field64(Field.IMMEDIATE);
  }

  /** Goes on at the record of a target in the same page, linked on first use. */
  private goToLinked(): void {
    const { f } = this;
    const target = f.temporary(I32);
    f.set(target, this.field32(Field.LINK));
    f.if(f.isZero(f.local(target)));
    f.call(this.frame.link, this.record);
    f.setFromStack(target);
    f.if(f.isZero(f.local(target)));
    this.frame.leaveAfter();
    f.end();
    f.end();
    this.goTo(f.local(target));
  }

  /** A relative target outside the page. Outside 64-bit mode cut to the operand size and checked against CS. */
  private relativeTarget(): Value {
    const { f } = this;
    const target = f.add(this.nextRip(), f.signExtend(this.field32(Field.DISPLACEMENT)));
    return f.let(this.longMode ? target : this.wrapOffset(target, this.operandSize));
  }

  jump(): void {
    if (this.variant.near) {
      this.commit();
      this.goToLinked();
    } else {
      const target = this.relativeTarget();
      this.checkRip(target);
      this.goToRip(target);
    }
  }

  branch(condition: Value): void {
    const { f } = this;
    const taken = this.pending.length ? f.let(condition) : condition;
    if (this.variant.near) {
      this.commit();
      f.if(taken);
      this.goToLinked();
    } else {
      const bound = f.let(taken);
      const target = this.relativeTarget();
      if (!this.longMode) {
        f.if(bound);
        this.checkRip(target);
        f.end();
      }
      this.commit();
      f.if(bound);
      this.goToRip(target);
    }
    f.end();
    this.goToNext();
  }

  checkTarget(target: Value): void {
    this.checkRip(this.f.zeroExtend(target));
    this.targetChecked = true;
  }

  private checkRip(rip: Value): void {
    const { f } = this;
    if (this.longMode) {
      if (this.operandSize === 64) this.raiseIf(f.ne(f.shrS(f.shl(rip, i64(16)), i64(16)), rip), GENERAL_PROTECTION, 0);
    } else {
      const limit = f.load(Op.i64Load32U, I64, i32(State.SEGMENTS + Segment.CS * 32 + 8));
      this.raiseIf(f.gtU(rip, limit), GENERAL_PROTECTION, 0);
    }
  }

  jumpTo(target: Value): void {
    const { f } = this;
    const rip = f.let(f.zeroExtend(target));
    if (!this.targetChecked) this.checkRip(rip);
    this.goToRip(rip);
  }

  repeatIf(condition: Value): void {
    const { f } = this;
    const again = f.let(condition);
    this.commit();
    f.if(again);
    this.goTo(this.record);
    f.end();
    this.goToNext();
  }

  finishIf(condition: Value): void {
    const { f } = this;
    f.if(condition);
    this.frame.goTo(f.add(this.record, i32(RECORD_SIZE)));
    f.end();
  }
}
