export const name = "web-pack";
