/** Paths are joined here and not by Node's module, which a browser worker does not have. Both slashes are understood. */
export function joinPath(folder: string, file: string): string {
  return normalizePath(isAbsolutePath(file) || folder === '' ? file : `${folder}/${file}`);
}

export const isAbsolutePath = (path: string): boolean => /^([/\\]|[a-z]:[/\\]|[a-z][a-z0-9+.-]+:\/\/)/i.test(path);

export function directoryOf(path: string): string {
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'));
  return cut < 0 ? '' : cut === 0 ? '/' : path.slice(0, cut);
}

export const baseName = (path: string): string =>
  path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);

/** Removes "." and "x/.." segments; leaves a URI's scheme and a drive letter alone. */
export function normalizePath(path: string): string {
  const scheme = /^[a-z][a-z0-9+.-]+:\/\/[^/]*/i.exec(path)?.[0] ?? '';
  const parts = path.slice(scheme.length).replace(/\\/g, '/').split('/');
  const absolute = parts[0] === '' && parts.length > 1;
  const out: string[] = [];
  for (const part of parts) {
    if (part === '' || part === '.') continue;
    if (part !== '..' || out.length === 0 || out.at(-1) === '..') {
      if (part !== '..' || !absolute) out.push(part);
    } else out.pop();
  }
  return `${scheme}${absolute ? '/' : ''}${out.join('/')}` || '.';
}
