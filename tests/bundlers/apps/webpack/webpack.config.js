const HtmlPlugin = require('html-webpack-plugin');

module.exports = {
  entry: './main.js',
  plugins: [new HtmlPlugin({ title: 'app' })],
  performance: { hints: false },
};
