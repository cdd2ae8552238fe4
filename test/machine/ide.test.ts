import { strict as assert } from 'node:assert';
import { disk, patternBytes, PciHarness, Random } from './pci-harness';

const CMD = 0x1f0;
const BM = 0xc000;
const PRD = 0x8000;
const BUFFER = 0x10000;
const BSY = 0x80;
const DRQ = 0x08;
const ERR = 0x01;
const READY = 0x50;

/** Parameters at the primary channel, then the command. */
function command(h: PciHarness, code: number, lba = 0, count = 1, device = 0xe0): void {
  h.out(CMD + 6, device | ((lba >>> 24) & 15));
  h.out(CMD + 2, count & 0xff);
  h.out(CMD + 3, lba & 0xff);
  h.out(CMD + 4, (lba >>> 8) & 0xff);
  h.out(CMD + 5, (lba >>> 16) & 0xff);
  h.out(CMD + 7, code);
}

function commandExt(h: PciHarness, code: number, lba: number, count: number): void {
  h.out(CMD + 6, 0xe0);
  for (const half of [1, 0]) {
    h.out(CMD + 2, (count >>> (8 * half)) & 0xff);
    for (let i = 0; i < 3; i++) h.out(CMD + 3 + i, Math.floor(lba / 2 ** (24 * half + 8 * i)) & 0xff);
  }
  h.out(CMD + 7, code);
}

function readBlock(h: PciHarness, words: number): Uint8Array {
  const bytes = new Uint8Array(words * 2);
  for (let i = 0; i < words; i++) {
    const word = h.in(CMD, 2);
    bytes[2 * i] = word & 0xff;
    bytes[2 * i + 1] = word >>> 8;
  }
  return bytes;
}

function startDma(h: PciHarness, toMemory: boolean, ...prds: [number, number][]): void {
  prds.forEach(([address, flags], i) => h.poke32(PRD + 8 * i, address, flags));
  h.out(BM + 4, PRD, 4);
  h.out(BM + 2, 6);
  h.out(BM, toMemory ? 9 : 1);
}

const pattern = patternBytes(64);
const sectorsOf = (first: number, count: number) => pattern.slice(first * 512, (first + count) * 512);
const harness = () => {
  const h = new PciHarness({ disks: [disk(pattern.slice())] });
  h.setConfig(1, 1, 4, 5, 2);
  return h;
};

describe('IDE: programmed I/O', () => {
  it('identifies itself', () => {
    const h = harness();
    command(h, 0xec);
    assert.equal(h.in(CMD + 7) & BSY, BSY);
    h.settle();
    assert.equal(h.irqs[14], 1);
    assert.equal(h.in(CMD + 7), READY | DRQ);
    assert.equal(h.irqs[14], 0, 'reading the status ends the interrupt');
    const view = new DataView(readBlock(h, 256).buffer);
    assert.equal(view.getUint32(120, true), 64, 'LBA sectors');
    assert.equal(view.getBigUint64(200, true), 64n, '48-bit sectors');
    assert.equal(view.getUint16(49 * 2, true) & 0x300, 0x300, 'LBA and DMA');
    assert.equal(h.in(CMD + 7), READY);
  });

  it('reads sector by sector, each with an interrupt', () => {
    const h = harness();
    command(h, 0x20, 5, 3);
    for (let i = 0; i < 3; i++) {
      h.settle();
      assert.equal(h.irqs[14], 1);
      assert.equal(h.in(CMD + 7), READY | DRQ);
      assert.deepEqual(readBlock(h, 256), sectorsOf(5 + i, 1));
    }
    assert.equal(h.in(CMD + 7), READY);
    assert.equal(h.in(CMD + 3), 7, 'the last sector');
    assert.equal(h.in(CMD + 2), 0);
  });

  it('reads by cylinder, head and sector', () => {
    const h = harness();
    command(h, 0x91, 0, 8, 0xa0 | 1); // two heads, 8 sectors
    h.settle();
    // Cylinder 1, head 1, sector 3: (1 * 2 + 1) * 8 + 2
    h.out(CMD + 6, 0xa1);
    h.out(CMD + 2, 1);
    h.out(CMD + 3, 3);
    h.out(CMD + 4, 1);
    h.out(CMD + 5, 0);
    h.out(CMD + 7, 0x20);
    h.settle();
    assert.deepEqual(readBlock(h, 256), sectorsOf(26, 1));
    h.out(CMD + 3, 9);
    h.out(CMD + 2, 1);
    h.out(CMD + 7, 0x20);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR, 'no sector 9');
    assert.equal(h.in(CMD + 1), 4);
  });

  it('reads by 32 bits at once', () => {
    const h = harness();
    command(h, 0x20, 9);
    h.settle();
    const bytes = new Uint8Array(512);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 128; i++) view.setUint32(4 * i, h.in(CMD, 4), true);
    assert.deepEqual(bytes, sectorsOf(9, 1));
  });

  it('writes, and keeps it over the image', () => {
    const image = pattern.slice();
    const h = new PciHarness({ disks: [disk(image)] });
    command(h, 0x30, 2, 2);
    assert.equal(h.in(CMD + 7), READY | DRQ, 'data is wanted at once, without an interrupt');
    assert.equal(h.irqs[14], 0);
    for (let sector = 0; sector < 2; sector++) {
      for (let i = 0; i < 256; i++) h.out(CMD, 0xa500 | i, 2);
      assert.equal(h.in(CMD + 7) & BSY, BSY);
      h.settle();
      assert.equal(h.irqs[14], 1);
      assert.equal(h.in(CMD + 7), sector === 0 ? READY | DRQ : READY);
    }
    command(h, 0x20, 2, 1);
    h.settle();
    const read = readBlock(h, 256);
    assert.deepEqual([read[2], read[3]], [1, 0xa5]);
    assert.deepEqual(image, pattern, 'copy on write');
    const other = new PciHarness({ disks: [disk(image)] });
    assert.notDeepEqual(other.save(), h.save());
    other.restore(h.save());
    command(other, 0x20, 2, 1);
    other.settle();
    readBlock(other, 256);
    command(other, 0x20, 2, 1);
    other.settle();
    assert.deepEqual(readBlock(other, 256), read, 'what was written is state');
  });

  it('writes through to the image when asked to', () => {
    const image = pattern.slice();
    const h = new PciHarness({ disks: [disk(image, 'ide', { write: 'through' })] });
    const saved = h.save();
    command(h, 0x30, 2);
    for (let i = 0; i < 256; i++) h.out(CMD, 0x1111, 2);
    h.settle();
    assert.equal(image[1024], 0x11);
    h.restore(saved);
    assert.deepEqual(image, pattern, 'going back takes the image along');
  });

  it('refuses to write a read-only disk, and what is beyond its end', () => {
    const h = new PciHarness({ disks: [disk(pattern.slice(), 'ide', { readOnly: true })] });
    command(h, 0x30, 2);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR);
    assert.equal(h.in(CMD + 1), 0x44);
    command(h, 0x20, 63, 2);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | DRQ);
    readBlock(h, 256);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR);
    assert.equal(h.in(CMD + 3), 64, 'the sector that is not there');
  });

  it('reads in blocks after SET MULTIPLE MODE, and not before', () => {
    const h = harness();
    command(h, 0xc4, 0, 6);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR);
    command(h, 0xc6, 0, 3);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR, 'not a power of two');
    command(h, 0xc6, 0, 4);
    h.settle();
    assert.equal(h.in(CMD + 7), READY);
    command(h, 0xc4, 1, 6);
    h.settle();
    assert.deepEqual(readBlock(h, 1024), sectorsOf(1, 4));
    h.settle();
    assert.deepEqual(readBlock(h, 512), sectorsOf(5, 2));
    assert.equal(h.in(CMD + 7), READY);
  });

  it('takes 48-bit addresses and counts', () => {
    const h = harness();
    commandExt(h, 0x24, 7, 2);
    h.settle();
    assert.deepEqual(readBlock(h, 256), sectorsOf(7, 1));
    h.settle();
    assert.deepEqual(readBlock(h, 256), sectorsOf(8, 1));
    commandExt(h, 0x24, 2 ** 33, 1);
    h.settle();
    assert.equal(h.in(CMD + 7), READY | ERR);
    h.out(0x3f6, 0x80);
    assert.equal(h.in(CMD + 4), 2, 'the high half, by HOB');
  });

  it('knows its other commands, and aborts the rest', () => {
    const h = harness();
    for (const code of [0x10, 0x40, 0x70, 0xe0, 0xe5, 0xe7, 0xea]) {
      command(h, code, 0, 1);
      h.settle();
      assert.equal(h.in(CMD + 7), READY, `command 0x${code.toString(16)}`);
    }
    commandExt(h, 0x42, 60, 4);
    h.settle();
    assert.equal(h.in(CMD + 7), READY, 'READ VERIFY SECTORS EXT');
    for (const code of [0x00, 0x08, 0xa0, 0xa1, 0xb0, 0xf8]) {
      command(h, code);
      h.settle();
      assert.equal(h.in(CMD + 7), READY | ERR, `command 0x${code.toString(16)}`);
      assert.equal(h.in(CMD + 1), 4);
    }
  });

  it('resets: busy while SRST is set, then the signature', () => {
    const h = harness();
    command(h, 0x20, 5, 3);
    h.out(0x3f6, 4);
    assert.equal(h.in(0x3f6) & BSY, BSY);
    h.settle();
    assert.equal(h.in(0x3f6) & BSY, BSY);
    h.out(0x3f6, 0);
    h.settle();
    assert.equal(h.in(0x3f6), READY);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((i) => h.in(CMD + i)),
      [1, 1, 1, 0, 0],
    );
  });

  it('says nothing for devices that are not there, and hears only what it decodes', () => {
    const h = harness();
    h.out(CMD + 6, 0xb0);
    assert.equal(h.in(CMD + 7), 0);
    h.out(CMD + 7, 0xec);
    h.settle();
    assert.equal(h.in(CMD + 7), 0);
    assert.equal(h.in(0x177), 0);
    h.out(CMD + 6, 0xa0);
    h.setConfig(1, 1, 0x40, 0, 2);
    assert.equal(h.in(CMD + 7), 0xff);
  });

  it('keeps its interrupt to itself with nIEN', () => {
    const h = harness();
    h.out(0x3f6, 2);
    command(h, 0x20, 5);
    h.settle();
    assert.equal(h.irqs[14], 0);
    assert.equal(h.in(0x3f6), READY | DRQ);
  });
});

describe('IDE: bus-master DMA', () => {
  it('reads into several regions', () => {
    const h = harness();
    startDma(h, true, [BUFFER, 512], [BUFFER + 0x1000, 0x80000000 | 1024]);
    assert.equal(h.in(BM + 2) & 7, 1, 'active');
    command(h, 0xc8, 10, 3);
    h.settle();
    assert.equal(h.irqs[14], 1);
    assert.equal(h.in(BM + 2) & 7, 4, 'interrupt, no longer active');
    assert.deepEqual(h.ram(BUFFER, 512), sectorsOf(10, 1));
    assert.deepEqual(h.ram(BUFFER + 0x1000, 1024), sectorsOf(11, 2));
    assert.equal(h.in(CMD + 7), READY);
    assert.ok(
      h.changed.some(({ at }) => at === BUFFER),
      'code caches are told',
    );
    assert.deepEqual(new Set(h.dma.map(({ requester }) => requester)), new Set([9]));
  });

  it('starts by whichever comes last, and takes the extended form', () => {
    const h = harness();
    commandExt(h, 0x25, 4, 2);
    h.settle();
    assert.equal(h.in(0x3f6), READY | DRQ, 'the device waits');
    startDma(h, true, [BUFFER, 0x80000000 | 1024]);
    h.settle();
    assert.deepEqual(h.ram(BUFFER, 1024), sectorsOf(4, 2));
  });

  it('writes', () => {
    const h = harness();
    h.poke(BUFFER, patternBytes(4).reverse());
    startDma(h, false, [BUFFER, 0x80000000 | 2048]);
    command(h, 0xca, 20, 4);
    h.settle();
    assert.equal(h.in(BM + 2) & 7, 4);
    command(h, 0x20, 20, 1);
    h.settle();
    assert.deepEqual(readBlock(h, 256), patternBytes(4).reverse().slice(0, 512));
  });

  it('stays active when the table has room left, and ends without interrupt when it has too little', () => {
    const h = harness();
    startDma(h, true, [BUFFER, 0x80000000 | 1024]);
    command(h, 0xc8, 10, 1);
    h.settle();
    assert.equal(h.in(BM + 2) & 7, 5);
    h.out(BM, 0);
    assert.equal(h.in(BM + 2) & 7, 4);
    h.in(CMD + 7);
    startDma(h, true, [BUFFER, 0x80000000 | 512]);
    command(h, 0xc8, 10, 2);
    h.settle();
    assert.equal(h.in(BM + 2) & 7, 0);
    assert.equal(h.irqs[14], 0);
    h.out(0x3f6, 4);
    h.out(0x3f6, 0);
    h.settle();
    assert.equal(h.in(CMD + 7), READY);
  });

  it('reports an error for memory that is not there, for the wrong direction and without bus mastering', () => {
    for (const prepare of [
      (h: PciHarness) => startDma(h, true, [0x3000_0000, 0x80000000 | 512]),
      (h: PciHarness) => startDma(h, false, [BUFFER, 0x80000000 | 512]),
      (h: PciHarness) => {
        startDma(h, true, [BUFFER, 0x80000000 | 512]);
        h.setConfig(1, 1, 4, 1, 2);
      },
    ]) {
      const h = harness();
      prepare(h);
      command(h, 0xc8, 10, 1);
      h.settle();
      assert.equal(h.in(BM + 2) & 7, 2);
      assert.equal(h.irqs[14], 0);
    }
  });

  it('saves and restores a transfer under way', () => {
    const h = harness();
    startDma(h, true, [BUFFER, 0x80000000 | 1024]);
    command(h, 0xc8, 30, 2);
    const saved = h.save();
    const other = harness();
    other.restore(saved);
    assert.deepEqual(other.save(), saved);
    other.poke32(PRD, BUFFER, 0x80000000 | 1024);
    h.settle();
    other.settle();
    assert.deepEqual(other.ram(BUFFER, 1024), sectorsOf(30, 2));
    assert.deepEqual(other.save(), h.save());
  });
});

describe('IDE: anything a guest may write', () => {
  it('never throws', () => {
    const seed = Number(process.env.SEED ?? 20261);
    console.log(`      seed ${seed}`);
    const random = new Random(seed);
    const h = harness();
    const ports = [...Array(8).keys()].flatMap((i) => [CMD + i, 0x170 + i, BM + i, BM + 8 + i]);
    ports.push(0x3f6, 0x376);
    const commands = [0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0x91, 0xec, 0xef, 0xe7];
    for (let i = 0; i < 60_000; i++) {
      const port = ports[random.next(ports.length)] ?? CMD;
      const size = [1, 2, 4][random.next(3)] ?? 1;
      switch (random.next(8)) {
        case 0:
          h.in(port, size);
          break;
        case 1:
          h.out(CMD + 7, commands[random.next(commands.length)] ?? 0);
          break;
        case 2:
          h.poke32(random.next(0x4000) * 4, random.u32() & 0x7ffff, random.u32());
          break;
        case 3:
          h.out(BM + 4, random.next(0x10000), 4);
          break;
        case 4:
          if (random.next(4) === 0) h.settle();
          else for (let n = random.next(600); n > 0; n--) h.in(CMD, 2);
          break;
        case 5:
          h.out(CMD + 1 + random.next(5), random.next(4));
          break;
        default:
          h.out(port, random.u32(), size);
      }
    }
    h.out(0x3f6, 4);
    h.out(0x3f6, 0);
    h.settle();
    const saved = h.save();
    const other = harness();
    other.restore(saved);
    assert.deepEqual(other.save(), saved);
  });
});
