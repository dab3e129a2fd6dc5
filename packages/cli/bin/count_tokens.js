#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('count_tokens', process.argv.slice(2));
