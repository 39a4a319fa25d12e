# frozen_string_literal: true

require_relative 'lib/vegas/version'

Gem::Specification.new do |s|
  s.name = 'libvegas'
  s.version = Vegas::VERSION
  s.summary = 'Client for Amazon Kinesis Data Streams: aggregation, ordering, groups'
  s.description = 'A Producer and a Consumer for Amazon Kinesis Data Streams, over the vegas engine that the gem brings along.'
  s.authors = ['The vegas authors']
  s.license = 'Apache-2.0'
  s.homepage = 'https://github.com/libvegas/vegas'
  s.required_ruby_version = '>= 3.1'
  # Each gem is for a platform, with its engine in lib/vegas/native: internal/packages
  # builds them. That of the tree (`gem 'libvegas', path: …`) has none, and wants
  # VEGAS_ENGINE.
  s.platform = ENV.fetch('VEGAS_GEM_PLATFORM', Gem::Platform::RUBY)
  s.files = Dir.chdir(__dir__) { Dir['lib/**/*.rb', 'lib/vegas/native/*', 'README.md', 'LICENSE', 'THIRD-PARTY-NOTICES.txt'] }
  s.metadata = {
    'source_code_uri' => 'https://github.com/libvegas/vegas',
    'documentation_uri' => 'https://github.com/libvegas/vegas/blob/main/docs/ruby.md',
    'rubygems_mfa_required' => 'true'
  }
end
