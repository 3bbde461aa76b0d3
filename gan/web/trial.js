import { fetchingAssets } from "./loading.js";
import { makePlayground } from "./playground.js";
import { speaker } from "./words.js";
