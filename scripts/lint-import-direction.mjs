// Imports run one way: extension -> debug-adapter -> emulator, and inside the emulator from the higher floor to the
// lower. `vscode` belongs to extension/ (and its tests); Node modules to folders named `node` or `edge`.
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const houses = ['emulator', 'debug-adapter', 'extension'];
/** Floors of emulator/, lowest first; rooms on one floor may use each other. */
const floors = [
  ['wasm', 'arch'],
  ['isa'],
  ['engine', 'memory'],
  ['cpu'],
  ['vmx'],
  ['devices'],
  ['machine'],
  ['timeline', 'watch'],
];
const floorOf = (room) => floors.findIndex((floor) => floor.includes(room));

export const importDirection = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const from = path.relative(root, context.filename).split(path.sep);
    const house = houses.indexOf(from[0]);
    if (house < 0) return {};
    const check = (node, source) => {
      if (!source.startsWith('.')) {
        if (source === 'vscode' && house < 2) context.report({ node, message: `${from[0]} must not import vscode` });
        if (source.startsWith('node:') && house < 2 && !from.includes('edge') && !from.includes('node'))
          context.report({
            node,
            message: `${from[0]} must run in a browser worker: Node modules only in edge/ or node/`,
          });
        return;
      }
      const to = path.relative(root, path.resolve(path.dirname(context.filename), source)).split(path.sep);
      const target = houses.indexOf(to[0]);
      if (target > house || target < 0) context.report({ node, message: `${from[0]} must not import ${to[0]}` });
      if (house === 0 && target === 0) {
        const [a, b] = [floorOf(from[1]), floorOf(to[1])];
        if (a < 0) context.report({ node, message: `emulator/${from[1]} stands on no floor; add it to the rule` });
        else if (b > a)
          context.report({ node, message: `emulator/${from[1]} must not import emulator/${to[1]} above it` });
      }
    };
    return {
      ImportDeclaration: (node) => check(node, node.source.value),
      ExportNamedDeclaration: (node) => node.source && check(node, node.source.value),
      ExportAllDeclaration: (node) => check(node, node.source.value),
      ImportExpression: (node) => node.source.type === 'Literal' && check(node, String(node.source.value)),
    };
  },
};
