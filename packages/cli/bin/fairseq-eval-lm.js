#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('fairseq-eval-lm', process.argv.slice(2));
