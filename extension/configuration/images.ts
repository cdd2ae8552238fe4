/** What the extension needs to know of an undervisor.json or a launch; the adapter reads and checks the whole of it. */
export interface Description {
  /** Files of the images, as written */
  readonly images: readonly string[];
  /** Shell command that makes them */
  readonly build?: string;
}

export const descriptionFile = 'undervisor.json';

/** Reads the text of an undervisor.json leniently: what is wrong with it is the adapter's to say. */
export function readDescription(text: string): Description {
  try {
    return descriptionOf(JSON.parse(text));
  } catch {
    return { images: [] };
  }
}

export function descriptionOf(attributes: unknown): Description {
  const { program, modules, symbols, disks, build } = (attributes ?? {}) as Record<string, unknown>;
  return {
    images: [program, ...files(modules), ...files(symbols), ...files(disks)].filter((file) => typeof file === 'string'),
    ...(typeof build === 'string' && { build }),
  };
}

function files(entries: unknown): unknown[] {
  return Array.isArray(entries) ? entries.map((entry: unknown) => (entry as { file?: unknown } | null)?.file) : [];
}
