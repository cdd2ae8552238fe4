/** What the extension needs to know of an undervisor.json; the adapter reads and checks the whole of it. */
export interface Description {
  /** Image files, relative to the description's folder */
  readonly images: readonly string[];
  /** Shell command that makes them, run in the description's folder */
  readonly build?: string;
}

export const descriptionFile = 'undervisor.json';

/** Reads a description leniently: what is wrong with it is the adapter's to say. */
export function readDescription(text: string): Description {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { images: [] };
  }
  const { program, modules, symbols, build } = (parsed ?? {}) as Record<string, unknown>;
  return {
    images: [program, ...files(modules), ...files(symbols)].filter((file) => typeof file === 'string'),
    ...(typeof build === 'string' && { build }),
  };
}

function files(entries: unknown): unknown[] {
  return Array.isArray(entries) ? entries.map((entry: unknown) => (entry as { file?: unknown } | null)?.file) : [];
}
