#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('prune_datastore', process.argv.slice(2));
