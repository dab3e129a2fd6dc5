// Checks a built site without a network: every link to a page, file or heading of it must be there. Links to other sites
// are only counted.
//
//   node tools/check-links.mjs docs/api
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(process.argv[2] ?? 'docs/api');
const pages = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith('.html'))
  .map((name) => join(root, name));
const anchors = new Map();
const broken = [];
let [internal, external] = [0, 0];

for (const page of pages) {
  const html = readFileSync(page, 'utf8');
  for (const [, attribute, link] of withoutCode(html).matchAll(/\s(href|src)="([^"]*)"/g)) {
    if (/^(?:https?:|mailto:|data:)/.test(link)) external++;
    else {
      internal++;
      const problem = check(page, decode(link));
      if (problem !== undefined) broken.push(`${relative(root, page)}: ${attribute}="${link}": ${problem}`);
    }
  }
}
for (const line of broken) console.error(line);
console.log(
  `${pages.length} pages, ${internal} links within the site (${broken.length} broken), ${external} to other sites`,
);
if (pages.length === 0 || broken.length > 0) process.exitCode = 1;

function check(page, link) {
  const [path, fragment] = link.split('#');
  let target = path === '' ? page : resolve(dirname(page), decodeURIComponent(path.split('?')[0]));
  if (!existsSync(target)) return 'there is no such file';
  if (statSync(target).isDirectory()) target = join(target, 'index.html');
  if (!existsSync(target)) return 'the folder has no page';
  if (fragment === undefined || fragment === '' || !target.endsWith('.html')) return undefined;
  return anchorsOf(target).has(decodeURIComponent(fragment)) ? undefined : 'the page has no such heading';
}

function anchorsOf(page) {
  if (!anchors.has(page)) {
    const found = readFileSync(page, 'utf8').matchAll(/\s(?:id|name)="([^"]*)"/g);
    anchors.set(page, new Set([...found].map(([, id]) => decode(id))));
  }
  return anchors.get(page);
}

/** Scripts may hold text that looks like a link. */
function withoutCode(html) {
  return html.replaceAll(/<script\b[\s\S]*?<\/script>/g, (script) =>
    script.slice(0, script.indexOf('>') + 1),
  );
}

function decode(text) {
  return text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");
}
