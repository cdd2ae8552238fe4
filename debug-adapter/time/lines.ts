import { atStatement, sameLine, type Place } from '../stepping/place';
import type { Instant } from './trace';

type Line = Pick<Place, 'pc' | 'image' | 'line' | 'function'>;

/** Where stepping by line stops, said of two places that follow each other in a frame. */
export class Lines {
  private readonly known = new Map<string, Line>();

  of({ context, pc, code: { image } }: Instant): Line {
    const key = `${context}:${pc}`;
    let line = this.known.get(key);
    if (!line) {
      line = { pc, image, line: image?.loaded.lineAt(pc), function: image?.loaded.functionAt(pc) };
      this.known.set(key, line);
    }
    return line;
  }

  has(instant: Instant): boolean {
    return this.of(instant).line !== undefined;
  }

  /** Whether stepping forward from `from` stops at `to`: at another statement, or by instruction where no line is known. */
  stopsBetween(from: Instant, to: Instant): boolean {
    const [a, b] = [this.of(from), this.of(to)];
    if (!a.line || !b.line) return true;
    return !sameLine(a, b) && atStatement(b);
  }

  /** Whether stepping into a function stops here: behind its prologue */
  isBody(instant: Instant): boolean {
    const { pc, image, function: symbol } = this.of(instant);
    return image !== undefined && symbol !== undefined && image.loaded.afterPrologue(symbol.entry) === pc;
  }
}
