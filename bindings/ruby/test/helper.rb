# frozen_string_literal: true

require 'minitest/autorun'
require 'open3'
require 'stringio'
require 'timeout'
require 'tmpdir'
require 'vegas'

# For programs and forked children, whose engines are not the one of the server.
ENV.update('AWS_ACCESS_KEY_ID' => 'local', 'AWS_SECRET_ACCESS_KEY' => 'local', 'AWS_REGION' => 'us-east-1')

LOG = StringIO.new
Vegas.logger = Logger.new(LOG, level: Logger::WARN)

# What tests share: a Kinesis for each, and programs of their own.
module Helper
  PATIENCE = 20 # seconds

  def local(streams = { 'orders' => 1 }, **options)
    @local ||= Vegas::Testing::LocalKinesis.open(streams: streams, **options)
  end

  def teardown
    @made&.each(&:close)
    @local&.close
  end

  def producer(stream = 'orders', **options)
    made Vegas::Producer.new(stream, **local.options, **options)
  end

  # Consumers of tests are quick to look for records.
  def consumer(group = 'billing', handler = nil, stream: 'orders', **options, &block)
    made Vegas::Consumer.new(stream, group, handler, poll_idle: 0.2, poll_busy: 0.2, **local.options, **options, &block)
  end

  # Takes so many things out of a queue.
  def take(queue, count)
    Timeout.timeout(PATIENCE) { Array.new(count) { queue.pop } }
  end

  # Runs a program of its own, given local's endpoint, and gives what it printed and
  # how it ended.
  def program(source, *arguments)
    lib = File.expand_path('../lib', __dir__)
    Timeout.timeout(PATIENCE) { Open3.capture3(RbConfig.ruby, '-w', "-I#{lib}", '-rvegas', '-e', source, *arguments) }
  end

  private

  def made(something)
    (@made ||= []) << something
    something
  end
end
