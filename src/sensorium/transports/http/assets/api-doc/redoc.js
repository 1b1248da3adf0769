"use strict";
const font = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
Redoc.init(
  "openapi.json",
  {
    hideDownloadButton: false,
    scrollYOffset: "nav",
    theme: {
      colors: { primary: { main: "#2457c5" } },
      typography: { fontFamily: font, fontSize: "14px", headings: { fontFamily: font } },
    },
  },
  document.getElementById("operations"),
);
