import type { DebugProtocol } from '@vscode/debugprotocol';
import type { FileSource } from '../session/file-source';
import { baseName, directoryOf, isAbsolutePath, joinPath } from '../session/paths';

const PARENTS = 6;

/**
 * From the paths that compilers wrote into images to files that are here: the path itself when it exists, else its
 * longest tail that exists below the folder of the description or of the image, or below one of their parents. So an
 * image that was built elsewhere, or with relative paths to be reproducible, finds its sources.
 */
export class SourceMap {
  private readonly found = new Map<string, string>();

  constructor(private readonly files: FileSource) {}

  /** Looks up all paths of an image, once, so that answers need no waiting. */
  async learn(paths: Iterable<string>, folders: readonly string[]): Promise<void> {
    const bases = [...new Set(folders.flatMap(withParents))];
    for (const path of paths) {
      if (this.found.has(path)) continue;
      const place = await this.locate(path, bases);
      if (place !== undefined) this.found.set(path, place);
    }
  }

  /** The file that is here for a compiler's path */
  path(path: string): string | undefined {
    return this.found.get(path);
  }

  /** DAP source of a compiler's path; a path that is not here keeps its name and is shown as such. */
  source(path: string): DebugProtocol.Source {
    const place = this.found.get(path);
    if (place === undefined) return { name: baseName(path), path, presentationHint: 'deemphasize' };
    return { name: baseName(path), path: place };
  }

  private async locate(path: string, bases: readonly string[]): Promise<string | undefined> {
    if (isAbsolutePath(path) && (await this.isFile(path))) return path;
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    for (let drop = 0; drop < parts.length; drop++) {
      const tail = parts.slice(drop).join('/');
      for (const base of bases) {
        const candidate = joinPath(base, tail);
        if (await this.isFile(candidate)) return candidate;
      }
    }
    return undefined;
  }

  private async isFile(path: string): Promise<boolean> {
    return (await this.files.kind(path)) === 'file';
  }
}

function withParents(folder: string): string[] {
  const folders = [folder];
  for (let at = folder; folders.length <= PARENTS && directoryOf(at) !== at && directoryOf(at) !== '';) {
    at = directoryOf(at);
    folders.push(at);
  }
  return folders;
}
