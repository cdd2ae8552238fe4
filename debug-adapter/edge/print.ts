/** Lines for standard output: gathered, and written when the machine has had its slice. */
export class Printer {
  private waiting: string[] = [];

  line(text: string): void {
    this.waiting.push(`${text}\n`);
  }

  text(text: string): void {
    this.waiting.push(text);
  }

  /** Writes what waits, and gives signals and other work their turn. */
  async drain(): Promise<void> {
    const text = this.waiting.join('');
    this.waiting = [];
    if (text !== '') await new Promise<void>((done) => process.stdout.write(text, () => done()));
    await new Promise<void>((done) => setImmediate(done));
  }
}
