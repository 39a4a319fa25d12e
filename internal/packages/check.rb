# frozen_string_literal: true

# With a GEM_HOME that libvegas is installed into: the gem is the one there, so is its
# engine, and a record goes there and back.
require 'vegas'

home = File.realpath(ENV.fetch('GEM_HOME'))
spec = Gem.loaded_specs.fetch('libvegas')
abort "the gem is in #{spec.gem_dir}" unless File.realpath(spec.gem_dir).start_with?("#{home}/")
abort "the gem has the version #{spec.version}" unless spec.version.to_s == Vegas::VERSION
abort "the gem is for #{spec.platform}" if spec.platform == Gem::Platform::RUBY
%w[LICENSE THIRD-PARTY-NOTICES.txt].each { |name| abort "there is no #{name}" unless File.file?("#{spec.gem_dir}/#{name}") }
abort "there are other gems: #{Dir["#{home}/gems/*"]}" unless Dir["#{home}/gems/*"].size == 1
abort 'VEGAS_ENGINE is set' if ENV['VEGAS_ENGINE']

begin
  Vegas::Producer.new('orders', linger: 'soon')
  abort 'a bad option was taken'
rescue Vegas::BadOptionError
  nil
end

Vegas::Testing::LocalKinesis.open(streams: { 'orders' => 1 }) do |local|
  path = File.realpath(Vegas::Engine.current.session.path)
  abort "the engine is #{path}" unless File.dirname(path) == File.realpath("#{spec.gem_dir}/lib/vegas/native")

  Vegas::Producer.open('orders', **local.options) { |producer| producer.send('key', 'there and back').value(30) || abort('no receipt') }
  consumer = Vegas::Consumer.new('orders', 'check', **local.options)
  got = consumer.each.first
  abort "what came is #{got.data}" unless got.data == 'there and back'
  consumer.close
end
