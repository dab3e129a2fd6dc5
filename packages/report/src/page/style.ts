/** Colours of light mode, and those of dark mode in the same order. Text on any of them has a contrast of 4.5 or more. */
const colours: readonly (readonly [name: string, light: string, dark: string])[] = [
  ['page', '#fbfbf9', '#15181c'],
  ['raised', '#ffffff', '#1d2126'],
  ['text', '#1a1e24', '#e9ebee'],
  ['muted', '#555d68', '#a6aeb9'],
  ['line', '#dcdfe3', '#383e46'],
  ['link', '#0b5cad', '#7fbdff'],
  ['help', '#1769b5', '#62aef5'],
  ['hurt', '#b3500f', '#f0914d'],
  ['help1', '#e0edf9', '#14304a'],
  ['help2', '#b5d5f2', '#174a7a'],
  ['help3', '#82b9e8', '#1f64a8'],
  ['hurt1', '#fbe9dc', '#40260f'],
  ['hurt2', '#f5cba9', '#693a12'],
  ['hurt3', '#eba871', '#8f4a10'],
  // The surface: the best stands out from the page, the worst comes close to it.
  ['s0', '#08306b', '#dbeafa'],
  ['s1', '#1c559c', '#a9cff3'],
  ['s2', '#3374b5', '#73acdf'],
  ['s3', '#74a9d8', '#3d77ac'],
  ['s4', '#a8cbe8', '#2f6193'],
  ['s5', '#cfe1f2', '#234466'],
  ['s6', '#ebf0f5', '#262f39'],
  ['on-s0', '#ffffff', '#10141a'],
  ['on-s1', '#ffffff', '#10141a'],
  ['on-s2', '#ffffff', '#10141a'],
  ['on-s3', '#10141a', '#ffffff'],
  ['on-s4', '#10141a', '#ffffff'],
  ['on-s5', '#10141a', '#ffffff'],
  ['on-s6', '#10141a', '#ffffff'],
];

const properties = (column: 1 | 2) => colours.map((row) => `--${row[0]}:${row[column]}`).join(';');
const swatches = Array.from({ length: 7 }, (_, i) => `.s${i}{background:var(--s${i})}`).join('');

/** The page's style sheet. */
export const styleSheet = `
:root{color-scheme:light dark;${properties(1)}}
@media (prefers-color-scheme:dark){:root{${properties(2)}}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:break-word}
header,nav,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
#result h2{margin-top:1rem}
h3{font-size:1.02rem;line-height:1.3;margin:0 0 .25rem}
h4,h5{font-size:1rem;margin:.75rem 0 .25rem}
p{margin:.25rem 0 .75rem;max-width:48rem}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--raised);padding:.5rem 1rem;z-index:2}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.subtitle,.facts{color:var(--muted)}
nav ul,.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.5rem 0;padding:0}
nav a{display:inline-block;padding:.25rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:.5rem 0 1rem}
.cards div{background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .9rem}
.cards dt{color:var(--muted);font-size:.9rem}
.cards dd{margin:0}
.cards strong{display:block;font-size:1.75rem;line-height:1.2;font-variant-numeric:tabular-nums}
.cards span{color:var(--muted);font-size:.9rem}
.figures{display:grid;grid-template-columns:minmax(0,1fr);gap:1rem}
figure{margin:0;min-width:0;background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.9rem}
figure>p{font-size:.94rem}
.chart{height:auto;max-width:100%;font-size:12px;font-family:inherit;color:var(--text)}
.chart text{white-space:pre}
.narrow{display:block}
.wide{display:none}
.legend{font-size:.88rem;gap:.25rem .9rem}
.swatch{display:inline-block;width:1.1em;height:1.1em;vertical-align:-.2em;border:1px solid var(--muted);border-radius:2px}
${swatches}
.key{display:inline-block;width:2em;vertical-align:.25em;border-top:3px solid var(--help)}
.key.dashed{border-top:3px dashed var(--hurt)}
.key.dotted{border-top:3px dotted var(--muted)}
details{margin-top:.5rem}
summary{cursor:pointer;color:var(--link);padding:.25rem 0;width:fit-content}
.table{overflow-x:auto;margin:.25rem 0 .75rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);vertical-align:top;font-weight:400}
thead th{color:var(--muted);vertical-align:bottom}
.number{text-align:right}
.text{text-align:left}
tbody th.text{min-width:5rem;max-width:22rem;overflow-wrap:anywhere}
.pair,.facts-tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:0 1.5rem}
.facts-tables{grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr))}
.facts-tables td{overflow-wrap:anywhere}
.needs-script{display:none}
.script .needs-script{display:revert}
.chooser label{font-weight:600;margin-right:.5rem}
select{font:inherit;color:inherit;background:var(--raised);border:1px solid var(--muted);border-radius:.3rem;padding:.35rem .5rem;max-width:100%}
.passage{margin:1rem 0}
.passage .text{line-height:2;max-width:60rem}
.before{color:var(--muted)}
.token{font:inherit;color:inherit;border:0;border-bottom:2px solid transparent;border-radius:2px;padding:0 .15em;background:none;max-width:100%;overflow-wrap:anywhere;text-align:left}
button.token{cursor:pointer}
.help1,.help2,.help3{border-bottom-style:solid;border-bottom-color:var(--help)}
.help1{background:var(--help1);border-bottom-width:1px}
.help2{background:var(--help2)}
.help3{background:var(--help3);border-bottom-width:4px}
.hurt1,.hurt2,.hurt3{border-bottom-style:dotted;border-bottom-color:var(--hurt)}
.hurt1{background:var(--hurt1)}
.hurt2{background:var(--hurt2);border-bottom-width:3px}
.hurt3{background:var(--hurt3);border-bottom-width:4px}
.token[aria-current]{outline:2px solid var(--text);outline-offset:1px}
.token:focus-visible{outline:3px solid var(--link)}
.neighbors{background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.25rem .9rem;font-size:.94rem}
.neighbors h4{overflow-wrap:anywhere}
.neighbors ol{padding-left:1.4rem;margin:.25rem 0}
.neighbors li{margin-bottom:.5rem}
.neighbors p{margin:.1rem 0}
.neighbors .facts{font-size:.86rem}
.around{color:var(--muted)}
mark{background:none;color:var(--text);font-weight:700;border-bottom:2px dotted var(--hurt)}
.same mark{border-bottom:3px solid var(--help)}
.probabilities{display:flex;flex-wrap:wrap;gap:.1rem .75rem;margin:.25rem 0;font-variant-numeric:tabular-nums}
.probabilities dt{color:var(--muted);font-size:.8rem}
.probabilities dd{margin:0;font-weight:600}
.back{font:inherit;color:var(--link);background:none;border:1px solid var(--muted);border-radius:.3rem;padding:.25rem .7rem;margin:.25rem 0 .75rem;cursor:pointer}
pre{background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.75rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.88rem}
footer{margin-top:2.5rem;padding-bottom:2rem;color:var(--muted);font-size:.9rem}
@media (max-width:47.99rem){.script .neighbors{position:sticky;bottom:.25rem;max-height:45vh;overflow-y:auto;box-shadow:0 -2px 12px #0004}}
@media (min-width:48rem){.narrow{display:none}.wide{display:block}.reader{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:1.5rem;align-items:start}.neighbors{position:sticky;top:1rem;max-height:calc(100vh - 2rem);overflow-y:auto;margin-top:1rem}}
@media (min-width:68rem){.figures{grid-template-columns:repeat(2,minmax(0,1fr));align-items:start}.whole{grid-column:1/-1}}
@media print{nav,.chooser,.neighbors{display:none}figure{break-inside:avoid}}
`;
