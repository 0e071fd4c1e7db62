const { HtmlRspackPlugin } = require('@rspack/core');

module.exports = {
  entry: './main.js',
  plugins: [new HtmlRspackPlugin({ title: 'app' })],
  performance: { hints: false },
};
