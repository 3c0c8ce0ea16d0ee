/* Runs when the data was received, or could not be. */
"use strict";

render();
plan();
