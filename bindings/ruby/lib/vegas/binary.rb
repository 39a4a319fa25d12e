# frozen_string_literal: true

require 'rbconfig'

module Vegas
  # Where the engine's binary is, and why it does not start.
  module Binary
    NAME = RbConfig::CONFIG['host_os'].match?(/mswin|mingw/) ? 'vegas-engine.exe' : 'vegas-engine'
    PACKAGED = File.expand_path("native/#{NAME}", __dir__)
    REMEDY = 'install the gem libvegas that is built for this platform, or name a binary of it ' \
             'by the option engine or the environment variable VEGAS_ENGINE'

    PIPES = [] # rubocop:disable Style/MutableConstant -- those of engines that were started
    LOCK = Mutex.new
    private_constant :PIPES, :LOCK

    module_function

    # The path of the binary, the one that was asked for first.
    def find(asked = nil)
      path, from = [
        [asked, 'the option engine'], [ENV.fetch('VEGAS_ENGINE', nil), 'VEGAS_ENGINE'], [PACKAGED, 'the gem']
      ].find { |p, _| p && !p.empty? }
      return path if File.file?(path)

      raise EngineMissingError.new("the engine #{path}, which #{from} names, is not there", remedy: REMEDY)
    end

    # Starts it with one pipe each way. Gives the write end, the read end, and a
    # thread whose value is how it ended.
    def start(path)
      undisturbed do
        its_in, out = IO.pipe(binmode: true)
        inn, its_out = IO.pipe(binmode: true)
        out.sync = true
        pid = Process.spawn([path, File.basename(path)], in: its_in, out: its_out, pgroup_option => true)
        PIPES.reject!(&:closed?)
        PIPES.push(out, inn)
        [out, inn, Process.detach(pid)]
      rescue SystemCallError => e
        [out, inn].each { |io| io&.close }
        raise EngineMissingError.new("the engine #{path} cannot be started: #{e.message}", remedy: remedy(e))
      ensure
        [its_in, its_out].each { |io| io&.close }
      end
    end

    # Keeps forks and starts apart, so that a child knows of every pipe that it has.
    def undisturbed(&block)
      LOCK.synchronize(&block)
    end

    # In a forked child: lets go of what is its parent's, whose engine would live for as
    # long as this child otherwise.
    def abandon
      PIPES.each do |io|
        next if io.closed?

        io.autoclose = false
        IO.for_fd(io.fileno).close # the parent's threads may have been busy with io
      end
      PIPES.clear
    end

    def pgroup_option
      NAME.end_with?('.exe') ? :new_pgroup : :pgroup
    end

    def remedy(error)
      case error
      when Errno::EACCES
        'give it the permission to execute (chmod +x), on a file system that is not mounted with noexec'
      when Errno::ENOEXEC
        "it is built for another platform than #{RbConfig::CONFIG['arch']}: #{REMEDY}"
      else REMEDY
      end
    end

    private_class_method :pgroup_option, :remedy
  end
end
