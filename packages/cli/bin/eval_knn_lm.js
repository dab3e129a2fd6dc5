#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('eval_knn_lm', process.argv.slice(2));
