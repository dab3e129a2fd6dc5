import { readdirSync, readFileSync } from 'node:fs';
import tseslint from 'typescript-eslint';

const names = readdirSync(new URL('packages', import.meta.url));

/** One rule set a package: it may import only the packages that its package.json names, and nothing below their entry. */
const boundaries = names.map((name) => {
  const manifest = JSON.parse(
    readFileSync(new URL(`packages/${name}/package.json`, import.meta.url), 'utf8'),
  );
  const allowed = new Set(Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }));
  return {
    files: [`packages/${name}/**/*.ts`],
    languageOptions: {
      parserOptions: {
        project: [`packages/${name}/tsconfig.spec.json`],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: names
            .map((other) => `@knn-lm/${other}`)
            .filter((other) => !allowed.has(other))
            .map((other) => ({ name: other, message: `packages/${name} does not depend on ${other}.` })),
          patterns: [{ group: ['@knn-lm/*/*'], message: 'Import the package, not a file inside it.' }],
        },
      ],
    },
  };
});

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/build/**',
      // AssemblyScript, which asc checks.
      '**/assembly/**',
      '**/node_modules/**',
      '**/*.js',
      '**/*.mjs',
      '**/vitest.config.ts',
      'vitest.shared.ts',
    ],
  },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: ['tools/testing/tsconfig.build.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'no-console': 'error',
      eqeqeq: 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  ...boundaries,
);
