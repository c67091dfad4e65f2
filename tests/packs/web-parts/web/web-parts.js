export const name = "web-parts";
