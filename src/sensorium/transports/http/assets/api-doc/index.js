"use strict";
const first = document.getElementById("first");
first.textContent = first.textContent.replace("http://localhost:8484/", new URL("../", location.href));
