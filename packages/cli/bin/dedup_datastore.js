#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('dedup_datastore', process.argv.slice(2));
