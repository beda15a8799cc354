// What /docs shows and how. Relative to the page, so that it works under any path that a proxy puts before it.
SwaggerUIBundle({
    url: new URL("openapi.json", location.href).href,
    dom_id: "#swagger-ui",
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: true,
    showExtensions: true,
    tryItOutEnabled: true,
    validatorUrl: null,
});
