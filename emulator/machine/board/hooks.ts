import type { MmioRange, PortRange } from '../../memory/bus';

/** The same ports, with something to be done before each access. */
export const before = (range: PortRange, action: () => void): PortRange => ({
  name: range.name,
  first: range.first,
  count: range.count,
  read: (port, size) => {
    action();
    return range.read(port, size);
  },
  write: (port, size, value) => {
    action();
    range.write(port, size, value);
  },
});

/** The same, for a device seen through memory that does not move. */
export const beforeMemory = (range: MmioRange, action: () => void): MmioRange => ({
  name: range.name,
  base: range.base,
  size: range.size,
  read: (offset, size) => {
    action();
    return range.read(offset, size);
  },
  write: (offset, size, value) => {
    action();
    range.write(offset, size, value);
  },
});
