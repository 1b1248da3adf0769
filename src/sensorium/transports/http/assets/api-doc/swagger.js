"use strict";
const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete() {
    const key = sessionStorage.getItem("sensorium.key");
    if (key) ui.preauthorizeApiKey("key", key);
  },
});
