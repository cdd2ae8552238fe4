/** Gathers serial bytes into lines, one buffer per layer: two layers that write in turn do not mix their lines. */
export class SerialLines {
  private readonly buffers = new Map<string, number[]>();

  constructor(private readonly emit: (layer: string, text: string) => void) {}

  add(byte: number, layer: string): void {
    const buffer = this.buffers.get(layer) ?? [];
    this.buffers.set(layer, buffer);
    if (byte === 10) this.flushOne(layer, buffer);
    else if (byte !== 13) {
      buffer.push(byte);
      if (buffer.length >= LONGEST) this.flushOne(layer, buffer);
    }
  }

  /** At the end of the run and at a stop: what has no line end yet. */
  flush(): void {
    for (const [layer, buffer] of this.buffers) if (buffer.length > 0) this.flushOne(layer, buffer);
  }

  private flushOne(layer: string, buffer: number[]): void {
    const text = new TextDecoder().decode(new Uint8Array(buffer));
    buffer.length = 0;
    this.emit(layer, text);
  }
}

const LONGEST = 1000;
