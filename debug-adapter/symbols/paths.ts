/** Paths as compilers write them: joined and normalised without a file system. Both separators are understood. */

const isAbsolute = (path: string) => path.startsWith('/') || /^[A-Za-z]:[\\/]/.test(path);

export function joinPath(directory: string, path: string): string {
  return isAbsolute(path) || directory === '' ? path : `${directory}/${path}`;
}

/** Backslashes become slashes; "." and ".." and empty parts are removed. A leading ".." stays. */
export function normalizePath(path: string): string {
  const absolute = /^[\\/]/.test(path);
  const parts: string[] = [];
  for (const part of path.split(/[\\/]+/)) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..' || !absolute) parts.push(part);
  }
  return (absolute ? '/' : '') + parts.join('/');
}

/** How many trailing components two normalised paths share */
export function sharedTail(a: string, b: string): number {
  const x = a.split('/').filter(Boolean);
  const y = b.split('/').filter(Boolean);
  let n = 0;
  while (n < x.length && n < y.length && x[x.length - 1 - n] === y[y.length - 1 - n]) n++;
  return n;
}

/**
 * Which of the known paths is meant: the equal one; else those of which one is a whole tail of the other
 * ("main.c" for "/src/main.c", or an absolute path of the editor for a path made relative by -ffile-prefix-map).
 */
export function matchPaths(wanted: string, known: Iterable<string>): string[] {
  const path = normalizePath(wanted);
  const found: string[] = [];
  const length = path.split('/').filter(Boolean).length;
  for (const candidate of known) {
    if (candidate === path) return [candidate];
    const tail = sharedTail(candidate, path);
    if (tail === length || tail === candidate.split('/').filter(Boolean).length) found.push(candidate);
  }
  return found;
}
